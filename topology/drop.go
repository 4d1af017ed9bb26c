package topology

// The reasons of an [engine.Drop].
const (
	DropNullKey           = "null-key"           // the operator needs a key
	DropNullValue         = "null-value"         // the operator needs a value
	DropLateWindow        = "late-window"        // the window and its grace are over; counted for each window
	DropExpiredWindow     = "expired-window"     // the window closed when it was not retained any more; see [WithinRetention]
	DropNegativeTimestamp = "negative-timestamp" // the record has no usable time
	DropNoPartition       = "no-partition"       // the function of Multicast sent the record nowhere
	DropTooOld            = "too-old"            // the update is older than the history, or the TTL, of a table
	DropStale             = "stale"              // the update is not the latest one of its key, and only these count
	DropNullForeignKey    = "null-foreign-key"   // the row refers to nothing
	DropOutdated          = "outdated"           // the answer is for an earlier value of the row, in a foreign-key join
)
