// Package broken is a fixture.
package broken

import _ "example.com/m/missing"
