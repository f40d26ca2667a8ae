"""Whether a patient may try to stop the drug: criteria of each rule set, and what speaks against it in any of them."""
