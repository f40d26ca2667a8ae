# Every figure of one data set as R gives it: Rscript reference.R NAME writes expected/NAME.tsv, a line a figure.
# The columns of data/NAME.csv: days, status (0 censored, 1 event, 2 competing event), group, stratum, cluster, covariates.
# A figure that R cannot give is left out. Firth's model has no package here: its penalised likelihood is maximised by
# a general optimiser over likelihood and information as coxph reports them, which shares nothing with our solver.
suppressMessages({library(survival); library(cmprsk)})
name <- commandArgs(TRUE)[1]
d <- read.csv(file.path("data", paste0(name, ".csv")), stringsAsFactors = FALSE)
known <- c("days", "status", "group", "stratum", "cluster")
xs <- setdiff(names(d), known)
out <- file(file.path("expected", paste0(name, ".tsv")), "w")
put <- function(key, value) {
  if (length(value)) cat(key, "\t", paste(sprintf("%.17g", as.numeric(value)), collapse = " "), "\n", file = out, sep = "")
}
attempt <- function(expr) tryCatch(suppressWarnings(expr), error = function(e) invisible(NULL))
levels_ <- sort(unique(as.character(d$group)))
d$event <- as.integer(d$status == 1)

# --- curves ---------------------------------------------------------------------------------------------------------
curve <- function(key, rows) {
  for (transform in c("log-log", "log", "plain")) {
    fit <- survfit(Surv(days, event) ~ 1, data = rows, conf.type = transform)
    if (transform == "log-log") {
      put(paste0(key, ".time"), fit$time); put(paste0(key, ".at_risk"), fit$n.risk)
      put(paste0(key, ".events"), fit$n.event); put(paste0(key, ".surv"), fit$surv)
      put(paste0(key, ".se_log"), fit$std.err)
    }
    put(paste0(key, ".", transform, ".lower"), fit$lower); put(paste0(key, ".", transform, ".upper"), fit$upper)
    put(paste0(key, ".", transform, ".median"), quantile(fit, 0.5)$quantile)
    put(paste0(key, ".", transform, ".median_limits"),
        c(quantile(fit, 0.5)$lower, quantile(fit, 0.5)$upper))
  }
  attempt({
    tau <- floor(max(rows$days) * 0.7)
    table <- summary(fit, rmean = tau)$table
    put(paste0(key, ".rmst"), c(tau, table[["rmean"]], table[["se(rmean)"]]))
  })
  from <- floor(median(rows$days) / 2)
  later <- rows[rows$days > from, ]
  if (nrow(later)) {
    conditional <- survfit(Surv(days, event) ~ 1, data = later, conf.type = "log-log")
    put(paste0(key, ".conditional"), c(from, conditional$surv))
    put(paste0(key, ".conditional_lower"), conditional$lower)
  }
}
curve("all", d)
for (g in levels_) curve(paste0("group.", g), d[d$group == g, ])
attempt({
  robust <- survfit(Surv(days, event) ~ 1, data = d, cluster = cluster, conf.type = "log-log")
  put("clustered.surv", robust$surv); put("clustered.se", robust$std.err)
})
reverse <- survfit(Surv(days, 1 - event) ~ 1, data = d, conf.type = "log-log")
put("reverse.surv", reverse$surv); put("reverse.median", quantile(reverse, 0.5)$quantile)

# --- comparisons ----------------------------------------------------------------------------------------------------
test <- function(key, fit) {
  df <- sum(1 * (if (is.matrix(fit$exp)) apply(fit$exp, 1, sum) else fit$exp) > 0) - 1
  put(key, c(fit$chisq, df, pchisq(fit$chisq, df, lower.tail = FALSE)))
}
if (length(levels_) > 1 && any(d$event == 1)) {
  attempt(test("logrank", survdiff(Surv(days, event) ~ group, data = d)))
  if (length(unique(d$stratum)) > 1)
    attempt(test("logrank_stratified", survdiff(Surv(days, event) ~ group + strata(stratum), data = d)))
  counts <- table(d$group, d$event)
  attempt(put("fisher", fisher.test(counts)$p.value))
  attempt(put("chi2", chisq.test(counts, correct = FALSE)$p.value))
  attempt(put("yates", chisq.test(counts, correct = TRUE)$p.value))
}

# --- Cox ------------------------------------------------------------------------------------------------------------
strict <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
cox <- function(key, columns, ties, cluster = NULL) attempt({
  formula <- as.formula(paste("Surv(days, event) ~", paste(columns, collapse = " + ")))
  fit <- if (is.null(cluster)) coxph(formula, data = d, ties = ties, control = strict, x = TRUE)
         else coxph(formula, data = d, ties = ties, control = strict, cluster = cluster)
  if (any(is.na(coef(fit))) || any(abs(coef(fit)) * apply(d[columns], 2, function(x) diff(range(x))) > 15)) return()
  put(paste0(key, ".coef"), coef(fit)); put(paste0(key, ".var"), vcov(fit))
  if (!is.null(cluster)) { put(paste0(key, ".wald"), fit$wald.test); return() }
  put(paste0(key, ".loglik"), fit$loglik); put(paste0(key, ".score"), fit$score)
  put(paste0(key, ".wald"), fit$wald.test)
  put(paste0(key, ".concordance"), fit$concordance[["concordance"]])
  if (nrow(d) < 150 && length(columns) > 1) {
    put(paste0(key, ".residuals.schoenfeld"), t(residuals(fit, "schoenfeld")))
    put(paste0(key, ".residuals.score"), t(residuals(fit, "score")))
    put(paste0(key, ".residuals.martingale"), residuals(fit, "martingale"))
  }
  for (transform in c("km", "identity")) attempt({
    zph <- cox.zph(fit, transform = transform, terms = FALSE)
    put(paste0(key, ".zph.", transform), t(zph$table[, c("chisq", "df", "p")]))
    if (nrow(d) < 250 && transform == "km") {
      put(paste0(key, ".zph.x"), zph$x); put(paste0(key, ".zph.y"), t(zph$y))
    }
  })
})
if (any(d$event == 1)) {
  for (ties in c("efron", "breslow")) {
    cox(ties, xs, ties)
    for (x in xs) if (length(xs) > 1) cox(paste0(ties, ".", x), x, ties)
  }
  if (anyDuplicated(d$cluster)) cox("robust", xs, "efron", d$cluster)
}

# --- a smooth curve of a number: Harrell's restricted cubic spline of three knots -------------------------------------
spline <- function(x) attempt({
  knots <- as.numeric(quantile(d[[x]], c(.1, .5, .9), type = 6))
  if (length(unique(knots)) < 3) return()
  cube <- function(at) pmax(d[[x]] - at, 0)^3
  bent <- (cube(knots[1]) - cube(knots[2]) * (knots[3] - knots[1]) / (knots[3] - knots[2]) +
           cube(knots[3]) * (knots[2] - knots[1]) / (knots[3] - knots[2])) / (knots[3] - knots[1])^2
  fit <- coxph(Surv(days, event) ~ d[[x]] + bent, data = d, control = strict)
  line <- coxph(Surv(days, event) ~ d[[x]], data = d, control = strict)
  if (any(is.na(coef(fit))) || max(abs(coef(fit)) * c(diff(range(d[[x]])), diff(range(bent)))) > 15) return()
  put(paste0("spline.", x, ".knots"), knots); put(paste0("spline.", x, ".coef"), coef(fit))
  put(paste0("spline.", x, ".var"), vcov(fit)); put(paste0("spline.", x, ".bend"), 2 * (fit$loglik[2] - line$loglik[2]))
})
if (any(d$event == 1)) for (x in xs) spline(x)

# --- logistic -------------------------------------------------------------------------------------------------------
logistic <- function(key, columns) attempt({
  formula <- as.formula(paste("event == 0 ~", paste(columns, collapse = " + ")))
  fit <- glm(formula, data = d, family = binomial, control = glm.control(epsilon = 1e-15, maxit = 100))
  if (any(is.na(coef(fit)))) return()
  # glm keeps the weights of the step before its last: from its own answer they are those of the answer.
  for (i in 1:2) fit <- glm(formula, data = d, family = binomial, start = coef(fit), control = glm.control(epsilon = 1e-15))
  if (any(abs(coef(fit)[-1]) * apply(d[columns], 2, function(x) diff(range(x))) > 15)) return()
  put(paste0(key, ".coef"), coef(fit)[-1]); put(paste0(key, ".var"), vcov(fit)[-1, -1])
  put(paste0(key, ".gain"), fit$null.deviance - fit$deviance)
})
if (length(unique(d$event)) == 2) {
  logistic("logistic", xs)
  for (x in xs) if (length(xs) > 1) logistic(paste0("logistic.", x), x)
}

# --- Firth: Breslow ties, penalty half the logarithm of the determinant of the information ----------------------------
firth <- function(key, columns) attempt({
  x <- scale(as.matrix(d[columns])); spread <- attr(x, "scaled:scale")
  y <- Surv(d$days, d$event)
  penalised <- function(b) {
    fit <- coxph(y ~ x, ties = "breslow", init = b, control = coxph.control(iter.max = 0))
    fit$loglik[1] + 0.5 * determinant(solve(fit$var))$modulus[1]
  }
  p <- length(columns)
  highest <- function(start, fixed = integer(), at = numeric()) {
    free <- setdiff(seq_len(p), fixed)
    put_in <- function(b) { whole <- numeric(p); whole[fixed] <- at; whole[free] <- b; whole }
    if (!length(free)) return(list(b = put_in(numeric()), value = penalised(put_in(numeric()))))
    best <- nlminb(start[free], function(b) -penalised(put_in(b)),
                   control = list(rel.tol = 1e-15, x.tol = 1e-11, iter.max = 500, eval.max = 1000))
    # The optimiser ends where the likelihood is flat to its last digits: Newton steps by differences go on.
    f <- function(b) penalised(put_in(b))
    slope <- function(b) sapply(seq_along(b), function(j) {
      h <- 2e-3 * (seq_along(b) == j)
      (8 * (f(b + h) - f(b - h)) - (f(b + 2 * h) - f(b - 2 * h))) / (12 * 2e-3)
    })
    b <- best$par
    bend <- sapply(seq_along(b), function(j) (slope(b + 1e-3 * (seq_along(b) == j)) - slope(b - 1e-3 * (seq_along(b) == j))) / 2e-3)
    for (i in 1:3) b <- b - solve(bend, slope(b))
    list(b = put_in(b), value = f(b))
  }
  best <- highest(numeric(p))
  put(paste0(key, ".coef"), best$b / spread); put(paste0(key, ".gain"), best$value - penalised(numeric(p)))
  cut <- qchisq(0.95, 1) / 2
  limits <- p_values <- c()
  for (j in seq_len(p)) {
    below <- function(v) highest(best$b, j, v)$value - best$value + cut
    ends <- sapply(c(-1, 1), function(side) {
      far <- best$b[j] + side
      while (below(far) > 0) far <- far + side
      uniroot(below, sort(c(best$b[j], far)), tol = 1e-11)$root
    })
    limits <- c(limits, ends / spread[j])
    p_values <- c(p_values, pchisq(2 * (best$value - highest(best$b, j, 0)$value), 1, lower.tail = FALSE))
  }
  put(paste0(key, ".limits"), limits); put(paste0(key, ".p"), p_values)
})
if (any(d$event == 1) && nrow(d) > 2 && nrow(d) < 250) {
  firth("firth", xs)
  if (length(xs) > 1) firth(paste0("firth.", xs[1]), xs[1])
}

# --- competing risks ------------------------------------------------------------------------------------------------
if (any(d$status == 2)) {
  for (key in c("all", levels_)) {
    rows <- if (key == "all") d else d[d$group == key, ]
    incidence <- cuminc(rows$days, rows$status)
    at <- sort(unique(rows$days[rows$status > 0]))
    read <- timepoints(incidence, at)
    put(paste0("cif.", key, ".time"), at)
    put(paste0("cif.", key, ".est"), read$est[1, ]); put(paste0("cif.", key, ".var"), read$var[1, ])
    put(paste0("cif.", key, ".est2"), read$est[2, ]); put(paste0("cif.", key, ".var2"), read$var[2, ])
  }
  put("gray", cuminc(d$days, d$status, d$group)$Tests[, c("stat", "df", "pv")])
  put("gray_stratified", cuminc(d$days, d$status, d$group, strata = d$stratum)$Tests[, c("stat", "df", "pv")])
  for (columns in c(list(xs), as.list(xs))) {
    key <- if (length(columns) > 1) "fine_gray" else paste0("fine_gray.", columns)
    fit <- crr(d$days, d$status, as.matrix(d[columns]), gtol = 1e-13, maxiter = 100)
    put(paste0(key, ".coef"), fit$coef); put(paste0(key, ".var"), fit$var); put(paste0(key, ".loglik"), c(fit$loglik.null, fit$loglik))
  }
}
cat("R\t", as.character(getRversion()), "\nsurvival\t", as.character(packageVersion("survival")), "\ncmprsk\t",
    as.character(packageVersion("cmprsk")), "\n", file = out, sep = "")
close(out)
