// Swagger UI over our own OpenAPI file; a request that is tried out carries the session's CSRF token.

const place = document.getElementById("swagger-ui");

function cookie(name) {
  return document.cookie.match(new RegExp(`(?:^|; )${name}=([^;]+)`))?.[1];
}

function withCsrfToken(request) {
  const token = cookie(location.protocol === "https:" ? "__Host-csrftoken" : "csrftoken");
  if (token) request.headers["X-CSRFToken"] = token;
  return request;
}

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: withCsrfToken,
});
