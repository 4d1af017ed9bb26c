package observe

// Activity is what a task spends its time on.
type Activity uint8

// The activities of a task.
const (
	ActivityStart    Activity = iota // set up
	ActivityTakeOver                 // fence the owner before
	ActivityRestore
	ActivityProcess // records run through the operators; waiting for the producer's buffer included
	ActivityCommit
	ActivityWait  // for records, or for an input that lags
	ActivityRetry // pause after a failure
	Activities    // their number
)

var activityNames = [Activities]string{"start", "take_over", "restore", "process", "commit", "wait", "retry"} //nolint:gochecknoglobals // a table

// String returns the activity as metrics have it.
func (a Activity) String() string { return activityNames[a] }
