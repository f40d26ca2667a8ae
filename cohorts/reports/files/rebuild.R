# Rebuilds the figures of the snapshot from rows.csv and prints what differs: Rscript rebuild.R
suppressMessages({library(survival); library(cmprsk)})
read <- function(name, ...) read.csv(name, stringsAsFactors = FALSE, check.names = FALSE, ...)
rows <- read("rows.csv", colClasses = "character")
settings <- read("settings.csv", colClasses = "character"); setting <- setNames(settings$value, settings$name)
terms <- read("terms.csv", colClasses = "character")
published <- read.delim("figures.tsv", header = FALSE, colClasses = c("character", "numeric"), quote = "")
shown <- setNames(published$V2, published$V1)
d <- rows[rows$included == "true", ]
d$days <- as.integer(d$days); d$event <- as.integer(d$event == "true"); d$status <- as.integer(d$status)
for (name in grep("^x\\.", names(d), value = TRUE)) d[[name]] <- as.numeric(d[[name]])
MONTH <- 30.4375
level <- as.numeric(setting["level"]); z <- qnorm(0.5 + level / 2)
scale <- c("log-log" = "log-log", log = "log", linear = "plain")[[setting["transform"]]]
first_only <- setting["attempts"] == "first"

seen <- character(); wrong <- 0
compare <- function(place, value) {
  if (!(place %in% names(shown)) || length(value) != 1 || is.na(value)) return(invisible())
  seen <<- c(seen, place)
  if (abs(value - shown[[place]]) > 1e-6 * max(1e-3, abs(shown[[place]]))) {
    wrong <<- wrong + 1
    cat(sprintf("%s\tsnapshot %.12g\there %.12g\tdifference %.3g\n", place, shown[[place]], value, value - shown[[place]]))
  }
}
count_of <- function(pattern) length(grep(pattern, names(shown)))
attempt <- function(expr) tryCatch(suppressWarnings(expr), error = function(e) invisible(NULL))

curve <- function(place, x, after = 0) {
  if (!nrow(x)) return(invisible())
  fit <- survfit(Surv(days, event) ~ 1, data = x, conf.type = scale, conf.int = level)
  if (count_of(paste0("^", gsub("([][])", "\\\\\\1", place), "\\.points\\["))) for (i in seq_along(fit$time)) {
    at <- paste0(place, ".points[", i - 1, "].")
    compare(paste0(at, "days"), fit$time[i]); compare(paste0(at, "estimate"), fit$surv[i])
    compare(paste0(at, "lower"), fit$lower[i]); compare(paste0(at, "upper"), fit$upper[i])
    compare(paste0(at, "at_risk"), fit$n.risk[i]); compare(paste0(at, "events"), fit$n.event[i])
  }
  i <- 0
  while (paste0(place, ".landmarks[", i, "].months") %in% names(shown)) {
    at <- paste0(place, ".landmarks[", i, "]."); days <- shown[[paste0(at, "months")]] * MONTH
    if (days <= max(x$days)) {
      one <- summary(fit, times = days)
      compare(paste0(at, "estimate"), one$surv); compare(paste0(at, "lower"), one$lower); compare(paste0(at, "upper"), one$upper)
    }
    compare(paste0(at, "at_risk"), sum(x$days >= days)); compare(paste0(at, "events"), sum(x$event == 1 & x$days <= days))
    i <- i + 1
  }
  middle <- quantile(fit, 0.5)
  compare(paste0(place, ".median_months.estimate"), middle$quantile / MONTH)
  compare(paste0(place, ".median_months.lower"), middle$lower / MONTH)
  compare(paste0(place, ".median_months.upper"), middle$upper / MONTH)
  horizon <- paste0(place, ".restricted_mean.months")
  if (horizon %in% names(shown) && shown[[horizon]] * MONTH <= max(x$days)) {
    mean <- summary(fit, rmean = shown[[horizon]] * MONTH)$table
    compare(paste0(place, ".restricted_mean.estimate"), mean[["rmean"]] / MONTH)
    compare(paste0(place, ".restricted_mean.se"), mean[["se(rmean)"]] / MONTH)
  }
}

compare("counts.members", nrow(d)); compare("counts.events", sum(d$event))
kept <- shown["crude.in_remission"]
if (!is.na(kept) && nrow(d)) {
  limits <- binom.test(kept, nrow(d), conf.level = level)$conf.int
  compare("crude.proportion", kept / nrow(d)); compare("crude.lower", limits[1]); compare("crude.upper", limits[2])
}
# Who had the time by the end of the data, who kept the remission until a month, who had the event or any end by then.
ends <- c("loss_of_mmr", "restart", "death", "transplant", "progression")
since <- as.integer(as.Date(setting[["data_cutoff"]]) - as.Date(d$stopped_on))
had_time <- function(m) since >= m * MONTH
kept_until <- function(m) d$days >= m * MONTH & !(d$end_reason %in% ends & d$days <= m * MONTH)
lost_by <- function(m) d$event == 1 & d$days <= m * MONTH
failed_by <- function(m) d$end_reason %in% ends & d$days <= m * MONTH
rate <- function(at, m, kept, failed) {
  compare(paste0(at, "had_time"), sum(had_time(m))); compare(paste0(at, "kept"), sum(kept & had_time(m)))
  compare(paste0(at, "evaluable"), sum((kept | failed) & had_time(m)))
}
i <- 0
while (paste0("maintenance[", i, "].months") %in% names(shown)) {
  at <- paste0("maintenance[", i, "]."); m <- shown[[paste0(at, "months")]]; i <- i + 1
  rate(at, m, kept_until(m), lost_by(m))
}
rate("sustained.", 12, kept_until(12), failed_by(12))
if ("by_centre.lost" %in% names(shown)) {
  compare("by_centre.lost", sum(lost_by(12) & had_time(12)))
  compare("by_centre.evaluable", sum((lost_by(12) | kept_until(12)) & had_time(12)))
}
for (name in c("age_at_diagnosis", "age_at_stop", "dmr_months", "tki_months", "time_to_dmr_months")) {
  x <- as.numeric(d[[name]]); x <- x[!is.na(x)]
  if (!length(x)) next
  q <- quantile(x, c(.25, .5, .75), type = 6)
  compare(paste0("table1.", name, ".n"), length(x)); compare(paste0("table1.", name, ".q1"), q[[1]])
  compare(paste0("table1.", name, ".median"), q[[2]]); compare(paste0("table1.", name, ".q3"), q[[3]])
}
for (list in c("maintenance", "drop_outs_as_failures")) {
  i <- 0
  while (paste0(list, "[", i, "].months") %in% names(shown)) {
    at <- paste0(list, "[", i, "].")
    n <- shown[paste0(at, if (list == "maintenance") "evaluable" else "total")]
    k <- shown[paste0(at, if (list == "maintenance") "kept" else "in_remission")]
    if (n > 0) {
      limits <- binom.test(k, n, conf.level = level)$conf.int
      compare(paste0(at, "lower"), limits[1]); compare(paste0(at, "upper"), limits[2])
    }
    i <- i + 1
  }
}

if (first_only && nrow(d)) {
  curve("kaplan_meier", d)
  i <- 0
  while (paste0("kaplan_meier.conditional[", i, "].from_months") %in% names(shown)) {
    place <- paste0("kaplan_meier.conditional[", i, "]")
    later <- d[d$days > shown[[paste0(place, ".from_months")]] * MONTH, ]
    compare(paste0(place, ".members"), nrow(later)); curve(place, later)
    i <- i + 1
  }
  turned <- survfit(Surv(days, 1 - event) ~ 1, data = d, conf.type = scale, conf.int = level)
  middle <- quantile(turned, 0.5)
  compare("follow_up.median_months", middle$quantile / MONTH)

  model <- function(place, columns) attempt({
    x <- d[stats::complete.cases(d[columns]), ]
    formula <- as.formula(paste("Surv(days, event) ~", paste0("`", columns, "`", collapse = " + ")))
    fit <- coxph(formula, data = x, ties = setting[["ties"]], control = coxph.control(eps = 1e-13, iter.max = 100))
    se <- sqrt(diag(vcov(fit))); beta <- coef(fit)
    single <- length(columns) == 1 && place != "cox"
    for (i in seq_along(columns)) {
      at <- if (single) place else paste0(place, if (place == "cox") ".terms[" else "[", i - 1, "]")
      compare(paste0(at, ".coef"), beta[[i]]); compare(paste0(at, ".se"), se[[i]]); compare(paste0(at, ".hr"), exp(beta[[i]]))
      compare(paste0(at, ".lower"), exp(beta[[i]] - z * se[[i]])); compare(paste0(at, ".upper"), exp(beta[[i]] + z * se[[i]]))
      compare(paste0(at, ".p"), 2 * pnorm(-abs(beta[[i]] / se[[i]])))
    }
    whole <- if (place == "cox") "cox" else sub("\\.cox$", "", place)
    compare(paste0(whole, ".lrt.chi2"), 2 * diff(fit$loglik))
    if (place == "cox") {
      compare("cox.wald.chi2", fit$wald.test); compare("cox.score.chi2", fit$score)
      compare("cox.concordance", fit$concordance[["concordance"]])
    }
    tests <- cox.zph(fit, transform = "km", terms = FALSE)$table
    if (length(columns) == 1) compare(paste0(whole, ".zph[0].p"), tests[1, "p"])
    rest <- grep(paste0("^", gsub("([][])", "\\\\\\1", whole), "\\.zph\\[[0-9]+\\]\\.p$"), names(shown), value = TRUE)
    if (length(rest)) compare(rest[length(rest)], tests[nrow(tests), "p"])
    if (any(x$status == 2)) attempt({
      grey <- crr(x$days, x$status, as.matrix(x[columns]), gtol = 1e-13, maxiter = 100)
      for (i in seq_along(columns)) compare(paste0(whole, ".fine_gray[", i - 1, "].coef"), grey$coef[[i]])
    })
  })
  for (place in unique(terms$place)) model(place, terms$column[terms$place == place])

  # Odds ratios of keeping the remission over fixed periods.
  odds <- function(place, columns) {
    whole <- sub("\\.cox$", "", place); i <- 0
    while (paste0(whole, ".odds_ratios[", i, "].months") %in% names(shown)) {
      at <- paste0(whole, ".odds_ratios[", i, "]"); i <- i + 1
      from <- shown[[paste0(at, ".from_months")]]; to <- shown[[paste0(at, ".months")]]
      chance <- had_time(to) & stats::complete.cases(d[columns]) & (if (from > 0) kept_until(from) else TRUE)
      kept <- kept_until(to) & chance; x <- d[kept | (lost_by(to) & chance), ]; x$kept <- kept[kept | (lost_by(to) & chance)]
      compare(paste0(at, ".kept"), sum(kept)); compare(paste0(at, ".evaluable"), nrow(x))
      if (!(paste0(at, ".terms[0].or") %in% names(shown))) next
      attempt({
        formula <- as.formula(paste("kept ~", paste0("`", columns, "`", collapse = " + ")))
        fit <- glm(formula, data = x, family = binomial, control = glm.control(epsilon = 1e-14, maxit = 100))
        fit <- glm(formula, data = x, family = binomial, start = coef(fit), control = glm.control(epsilon = 1e-14))
        for (j in seq_along(columns)) {
          one <- paste0(at, ".terms[", j - 1, "]"); b <- coef(fit)[[j + 1]]; se <- sqrt(diag(vcov(fit)))[[j + 1]]
          compare(paste0(one, ".or"), exp(b)); compare(paste0(one, ".lower"), exp(b - z * se))
          compare(paste0(one, ".upper"), exp(b + z * se)); compare(paste0(one, ".p"), 2 * pnorm(-abs(b / se)))
        }
      })
    }
  }
  for (place in unique(terms$place)) odds(place, terms$column[terms$place == place])

  # A loss dated at the last negative sample, and in the middle.
  lost <- d$event == 1 & d$end_reason == "loss_of_mmr"
  negative <- pmax(0, as.integer(as.Date(ifelse(d$last_negative_on == "", NA, d$last_negative_on)) - as.Date(d$stopped_on)))
  negative[is.na(negative)] <- 0
  if (any(lost)) for (way in c("midpoint", "last_negative")) {
    x <- d; x$days[lost] <- if (way == "midpoint") (negative + d$days)[lost] %/% 2 else negative[lost]
    curve(paste0("dating_of_losses.", way), x)
  }

  # Off treatment and in remission, also after another stop.
  if ("current_remission.left_remission" %in% names(shown)) attempt({
    stays <- do.call(rbind, lapply(seq_len(nrow(d)), function(i) {
      steps <- strsplit(d$remission_path[i], " ")[[1]]; from <- "in"; start <- 0; found <- NULL
      for (step in steps) {
        day <- as.integer(substring(step, 2)); to <- c(L = "out", T = "in", D = "dead", E = "censored")[[substring(step, 1, 1)]]
        if (day > start) found <- rbind(found, data.frame(id = i, from, start, end = day, to))
        from <- to; start <- day
      }
      found
    }))
    stays$to <- factor(stays$to, c("censored", "in", "out", "dead")); stays$from <- factor(stays$from, c("in", "out", "dead"))
    fit <- survfit(Surv(start, end, to) ~ 1, data = stays, id = id, istate = from, p0 = c(1, 0, 0))
    j <- 0
    while (paste0("current_remission.landmarks[", j, "].months") %in% names(shown)) {
      at <- paste0("current_remission.landmarks[", j, "]."); j <- j + 1
      compare(paste0(at, "estimate"), summary(fit, times = shown[[paste0(at, "months")]] * MONTH)$pstate[1, match("in", fit$states)])
    }
  })

  i <- 0
  while (any(startsWith(names(shown), paste0("univariate[", i, "].")))) {
    place <- paste0("univariate[", i, "]"); i <- i + 1
    group <- terms$group[terms$place == paste0(place, ".cox")][1]
    if (is.na(group) || group == "") next
    x <- d[d[[group]] != "", ]; x$group <- x[[group]]
    labels <- unique(x$group); labels <- labels[order(startsWith(labels, "<"), labels, method = "radix")]
    for (j in seq_along(labels)) {
      at <- paste0(place, ".groups[", j - 1, "]"); one <- x[x$group == labels[j], ]
      compare(paste0(at, ".members"), nrow(one)); compare(paste0(at, ".events"), sum(one$event)); curve(at, one)
    }
    attempt({
      test <- survdiff(Surv(days, event) ~ group, data = x)
      compare(paste0(place, ".logrank.chi2"), test$chisq)
      compare(paste0(place, ".logrank.p"), pchisq(test$chisq, sum(test$exp > 0) - 1, lower.tail = FALSE))
    })
    counts <- table(x$group, x$event)
    attempt(compare(paste0(place, ".fisher_p"), fisher.test(counts)$p.value))
    attempt(compare(paste0(place, ".chi2_p"), chisq.test(counts, correct = FALSE)$p.value))
    attempt(compare(paste0(place, ".yates_p"), chisq.test(counts, correct = TRUE)$p.value))
    if (any(x$status == 2)) attempt(compare(paste0(place, ".gray.chi2"), cuminc(x$days, x$status, x$group)$Tests["1", "stat"]))
  }

  if (any(d$status == 2)) {
    at <- sort(unique(d$days[d$status > 0])); read_ <- timepoints(cuminc(d$days, d$status), at)
    for (kind in 1:2) {
      place <- c("competing_risks.event", "competing_risks.competing_event")[kind]
      j <- 0
      while (paste0(place, ".points[", j, "].days") %in% names(shown)) {
        here <- paste0(place, ".points[", j, "]."); k <- which(at == shown[[paste0(here, "days")]])
        row <- paste("1", kind)
        if (length(k) == 1 && row %in% rownames(read_$est)) compare(paste0(here, "estimate"), read_$est[row, k])
        j <- j + 1
      }
    }
  }
}

left <- setdiff(names(shown), seen)
cat("Not rebuilt here, by kind:\n"); print(sort(table(gsub("\\[[0-9]+\\]", "[]", left)), decreasing = TRUE)[1:min(12, length(left))])
cat(length(unique(seen)) - wrong, "figures agree,", wrong, "differ,", length(shown) - length(unique(seen)), "are not rebuilt here\n")
print(sessionInfo())
if (wrong || !length(seen)) quit(status = 1)
