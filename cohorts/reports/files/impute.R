# What the models would say if what is not known were known: multiple imputation by chained equations.
# A sensitivity analysis and no published figure. Rscript impute.R
suppressMessages({library(survival); library(mice)})
read <- function(name, ...) read.csv(name, stringsAsFactors = FALSE, check.names = FALSE, ...)
rows <- read("rows.csv", colClasses = "character"); terms <- read("terms.csv")
if (!nrow(terms)) { cat("no factor, nothing to impute\n"); quit(status = 0) }
d <- rows[rows$included == "true", ]
d$days <- as.integer(d$days); d$event <- as.integer(d$event == "true")
columns <- unique(terms$column)
for (name in columns) d[[name]] <- as.numeric(d[[name]])
names_ <- setNames(paste0("x", seq_along(columns)), columns)
x <- setNames(d[columns], names_)
# The outcome is part of the imputation: the event and the cumulative hazard (White and Royston 2009).
x$event <- d$event; x$hazard <- nelsonaalen(data.frame(days = d$days, event = d$event), days, event); x$days <- d$days
lacking <- sum(!stats::complete.cases(x))
cat(lacking, "of", nrow(x), "members lack something\n")
if (!lacking) quit(status = 0)
predictors <- make.predictorMatrix(x); predictors[, "days"] <- 0
imputed <- mice(x, m = 20, maxit = 20, predictorMatrix = predictors, seed = 20250222, printFlag = FALSE)
for (place in unique(terms$place)) {
  chosen <- names_[terms$column[terms$place == place]]
  formula <- as.formula(paste("Surv(days, event) ~", paste(chosen, collapse = " + ")))
  fits <- lapply(seq_len(imputed$m), function(i) coxph(formula, data = complete(imputed, i)))
  pooled <- tryCatch(summary(pool(as.mira(fits)), conf.int = TRUE), error = function(e) conditionMessage(e))
  if (is.character(pooled)) { cat("\n", place, ": ", pooled, "\n", sep = ""); next }
  cat("\n", place, "\n", sep = "")
  print(data.frame(column = names(chosen), hr = exp(pooled$estimate), lower = exp(pooled$`2.5 %`),
                   upper = exp(pooled$`97.5 %`), p = pooled$p.value), row.names = FALSE)
}
