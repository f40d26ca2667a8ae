"""The arithmetic of survival statistics: sums per whole day over arrays. Knows numbers, no patient and no cohort."""
