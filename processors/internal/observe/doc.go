// Package observe holds the instruments that the runtime measures itself with: histograms, a clock for states and
// activities, and the numbers that the tasks of a group record together. It knows nothing of tasks, groups or
// topologies: the runtime records, and metrics and descriptions read.
//
// What is recorded for each record goes into plain numbers that the goroutine at work owns ([Histogram], [Pending]).
// What is shared ([SharedHistogram], [Group], [Clock]) has a lock, and is touched once for each unit of records, commit
// or change of state.
package observe
