# The chance to be in a state at a day, from stays in states that people leave and come back to:
# Rscript multistate.R NAME reads paths/NAME.csv (patient, state, start, end, to) and writes expected/paths_NAME.tsv.
# States are 0 in remission, 1 not, 2 dead; the standard error is the infinitesimal jackknife by patient.
suppressMessages(library(survival))
name <- commandArgs(TRUE)[1]
d <- read.csv(file.path("paths", paste0(name, ".csv")))
out <- file(file.path("expected", paste0("paths_", name, ".tsv")), "w")
put <- function(key, value)
  cat(key, "\t", paste(sprintf("%.17g", as.numeric(value)), collapse = " "), "\n", file = out, sep = "")
states <- c("in", "out", "dead")
d$to <- factor(d$to, levels = c(-1, 0, 1, 2), labels = c("censored", states))
d$from <- factor(d$state, levels = 0:2, labels = states)
fit <- survfit(Surv(start, end, to) ~ 1, data = d, id = patient, istate = from, p0 = c(1, 0, 0)[seq_along(states)])
at <- sort(unique(d$end[d$to != "censored"]))
read <- summary(fit, times = at)
order <- match(states, fit$states)
for (i in seq_along(states)) {
  known <- !is.na(order[i])
  put(paste0(states[i], ".estimate"), if (known) read$pstate[, order[i]] else rep(0, length(at)))
  put(paste0(states[i], ".se"), if (known) read$std.err[, order[i]] else rep(0, length(at)))
}
put("time", at)
close(out)
