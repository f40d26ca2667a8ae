// Swagger UI over our own OpenAPI file; a request that is tried out carries the session's CSRF token.
const place = document.getElementById("swagger-ui");
const cookie = (name) => (document.cookie.match(new RegExp(`(?:^|; )${name}=([^;]+)`)) || [])[1];
const csrf = () => cookie(location.protocol === "https:" ? "__Host-csrftoken" : "csrftoken");
window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (csrf()) request.headers["X-CSRFToken"] = csrf();
    return request;
  },
});
