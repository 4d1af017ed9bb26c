package upper

import "example.com/m/lower"

// C is one.
var C = lower.B
