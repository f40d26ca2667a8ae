// Swagger UI over our own OpenAPI file; a request that is tried out carries the session's CSRF token.
const place = document.getElementById("swagger-ui");
const csrf = () => (document.cookie.match(/csrftoken=([^;]+)/) || [])[1];
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
