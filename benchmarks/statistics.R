# The figures of a cohort in R: Rscript statistics.R ROWS.csv prints the CPU seconds they took.
# Not among them: Fine-Gray (crr visits every row at every event), descriptions, limits of crude proportions, splines,
# and the course after a loss.
suppressMessages({library(survival); library(cmprsk)})
d <- read.csv(commandArgs(TRUE)[1])
d$event <- as.integer(d$status == 1)
factors <- c("dmr", "tki", "male")
models <- c(factors, "months", "dmr + tki + male")
started <- proc.time()
whole <- survfit(Surv(days, event) ~ 1, d, conf.type = "log-log")
invisible(quantile(whole, 0.5)); invisible(summary(whole, rmean = 1095.75)$table)
for (f in factors) {
  fit <- survfit(as.formula(paste("Surv(days, event) ~", f)), d, conf.type = "log-log")
  invisible(summary(fit, rmean = 1095.75, times = 30.4375 * c(3, 6, 12, 24, 36, 48, 60), extend = TRUE)$table)
}
reverse <- survfit(Surv(days, 1 - event) ~ 1, d, conf.type = "log-log"); invisible(quantile(reverse, 0.5))
for (months in c(6, 12, 24)) invisible(survfit(Surv(days, event) ~ 1, d[d$days > 30.4375 * months, ], conf.type = "log-log"))
for (f in factors) {
  invisible(survdiff(as.formula(paste("Surv(days, event) ~", f)), d))
  counts <- table(d[[f]], d$event); invisible(fisher.test(counts)); invisible(chisq.test(counts))
  invisible(cuminc(d$days, d$status, d[[f]]))
}
invisible(cuminc(d$days, d$status))
for (m in models) {
  fit <- coxph(as.formula(paste("Surv(days, event) ~", m)), d)
  invisible(summary(fit)); invisible(cox.zph(fit, terms = FALSE))
}
for (m in models) for (period in list(c(0, 6), c(6, 36), c(0, 36))) {
  days <- 30.4375 * period
  kept <- d$days > days[2]
  known <- d[d$days > days[1] & (kept | d$event == 1), ]
  known$kept <- as.integer(known$days > days[2])
  invisible(summary(glm(as.formula(paste("kept ~", m)), binomial, known)))
}
used <- proc.time() - started
cat(used[["user.self"]] + used[["sys.self"]], "\n")
