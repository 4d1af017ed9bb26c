package edge

import (
	"log/slog"
	"net/http"

	"github.com/seed84377926/millrace/state"
)

// commandReply is the body of the answer to an accepted command.
type commandReply struct {
	CommandID        string         `json:"commandId"`
	AggregateID      string         `json:"aggregateId"`
	Version          int64          `json:"version"`
	Events           []eventReply   `json:"events"`
	Position         *positionReply `json:"position"` // of the aggregate's last event; null if it has none
	ConsistencyToken string         `json:"consistencyToken"`
}

type eventReply struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Version int64  `json:"version"`
}

type positionReply struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// token returns the consistency token of an offset of the owner's partition, or "" for offset 0.
func (o *owner) token(next int64) string {
	if next == 0 {
		return ""
	}
	return state.Offsets{{Topic: o.topic, Partition: o.partition}: next}.Token()
}

// success returns the answer to an accepted command. next is the offset after the last event of the aggregate, or 0 if
// it has none.
func (o *owner) success(p *pending, reply commandReply, created bool, next int64) *answer {
	a := &answer{status: http.StatusOK}
	if next > 0 {
		reply.Position = &positionReply{o.topic, o.partition, next - 1}
		reply.ConsistencyToken = o.token(next)
		a.set("Consistency-Token", reply.ConsistencyToken)
	}
	if created {
		a.status = http.StatusCreated
		a.set("Location", p.location)
	}
	a.set("Content-Type", jsonType)
	a.set("Cache-Control", "no-store")
	a.set("Etag", versionTag(reply.Version))
	body, err := marshal(reply)
	if err != nil { // cannot happen with strings and numbers; and the command is about to be committed
		o.log.Error("cannot render an answer", slog.Any("error", err))
	}
	a.body = body
	return a
}
