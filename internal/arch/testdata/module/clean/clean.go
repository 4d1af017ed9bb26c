// Package clean is a fixture.
package clean

import _ "time"
