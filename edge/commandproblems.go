package edge

import (
	"net/http"
	"time"

	"github.com/seed84377926/millrace/aggregates"
)

// retrySoon is the Retry-After of problems that pass soon, such as a busy owner.
const retrySoon = time.Second

// notReady returns the problem for a command that the owner refused. The command was not executed and will not be.
func notReady(status ownerStatus, detail string) *Problem {
	return problem(http.StatusServiceUnavailable, "owner-not-ready", "The owner of this aggregate is not ready",
		"the owner of its partition is %s: %s; the command was not executed, it is safe to send it again", status, detail).
		with("outcome", "not-executed").retryAfter(retrySoon)
}

func overloaded(depth int) *Problem {
	return problem(http.StatusServiceUnavailable, "overloaded", "Too many commands are waiting",
		"%d commands are waiting for the owner of this partition; the command was not executed, send it again later", depth).
		with("outcome", "not-executed").retryAfter(retrySoon)
}

func notExecuted() *Problem {
	return problem(http.StatusServiceUnavailable, "not-executed", "The command was not executed",
		"its transaction was not committed; it is safe to send it again").
		with("outcome", "not-executed").retryAfter(retrySoon)
}

// outcomeUnknown returns the problem for a command of which nobody knows whether it was executed.
func outcomeUnknown(keyed bool) *Problem {
	detail := "the broker did not say whether the transaction was committed, and without an Idempotency-Key nothing can; " +
		"read the aggregate before you send the command again"
	if keyed {
		detail = "the broker did not say whether the transaction was committed; " +
			"send the command again with the same Idempotency-Key: it is executed once"
	}
	return problem(http.StatusServiceUnavailable, "outcome-unknown", "It is not known whether the command was executed", "%s", detail).
		with("outcome", "unknown").retryAfter(retrySoon)
}

func timedOut(waited time.Duration, executing, keyed bool) *Problem {
	if executing {
		return outcomeUnknown(keyed)
	}
	return problem(http.StatusServiceUnavailable, "timeout", "The command waited too long",
		"it was not begun within %s and will not be executed; send it again later", waited).
		with("outcome", "not-executed").retryAfter(retrySoon)
}

func keyReused() *Problem {
	return problem(http.StatusUnprocessableEntity, "idempotency-key-reused", "The Idempotency-Key was used for another command",
		"the key stands for a command with another path or body; make a new key for each command")
}

func keyInFlight() *Problem {
	return problem(http.StatusConflict, "idempotency-key-in-flight", "The same command is being executed",
		"a command with this Idempotency-Key has not been answered yet; send it again to get its answer").retryAfter(retrySoon)
}

func versionMismatch(version int64) *Problem {
	return problem(http.StatusPreconditionFailed, "version-mismatch", "The aggregate has another version",
		"its version is %d", version).with("version", version).withHeader("Etag", versionTag(version))
}

// ruleBroken returns the problem for a command that a rule forbids. The type of the problem names the rule.
func ruleBroken(aggregate string, r *aggregates.Rejection) *Problem {
	status, title := http.StatusUnprocessableEntity, "A rule forbids the command"
	if r.Conflict {
		status, title = http.StatusConflict, "The state forbids the command"
	}
	p := &Problem{Status: status, Type: "/problems/" + aggregate + "/" + r.Code, Title: title, Detail: r.Message}
	p = p.with("code", r.Code)
	if len(r.Data) > 0 {
		p = p.with("data", r.Data)
	}
	return p
}
