"""Whether a patient may try to stop the drug: the criteria of each rule set, and vetoes that hold under all of them."""
