package edge

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Clients send commands with keys until they get a definite answer, while transactions fail in every way they can,
// fences are lost and owners are replaced by others, whose predecessors go on as zombies that clients still reach. In
// the end each command that was acknowledged must be on the log once, with the version it was told, and no command
// twice.
func TestOwner_keepsItsPromisesWhateverHappens(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const clients, each, generations, ids = 8, 60, 6, 3

	log := newFakeLog()
	dice := newDice(seed)
	log.onCommit = func([]*kgo.Record) (bool, error) {
		switch n := dice.roll(100); {
		case n < 8:
			return true, errLost
		case n < 16:
			return false, errLost
		case n < 20:
			log.set(func(l *fakeLog) { l.epoch++ }) // the transaction was too old
			return false, nil
		}
		return true, nil
	}
	log.onFlush = func() error {
		if dice.roll(100) < 5 {
			return errLost
		}
		return nil
	}
	log.onTakeOver = func() error {
		if dice.roll(100) < 30 {
			return errLost
		}
		return nil
	}

	var owners [generations]atomic.Pointer[bench]
	var newest atomic.Int32
	begin := func(g int) {
		b := newBench(t, log, func(c *ownerConfig) {
			c.claim.Instance, c.queueDepth, c.maxBatch = fmt.Sprint("generation ", g), 4, 3
		})
		owners[g].Store(b.start())
		newest.Store(int32(g))
	}
	begin(0)

	acknowledged := make([]map[string]commandReply, clients)
	var done atomic.Int64
	var group sync.WaitGroup
	for c := range clients {
		acknowledged[c] = make(map[string]commandReply)
		dice := newDice(seed + uint64(c) + 1)
		group.Go(func() {
			for i := range each {
				key := fmt.Sprintf("%d-%d", c, i)
				for attempt := 0; ; attempt++ {
					g := newest.Load()
					if dice.roll(10) == 0 {
						g = int32(dice.roll(int(g) + 1)) // perhaps a zombie
					}
					b := owners[g].Load()
					p := b.command(strconv.Itoa(i%ids), key, "deposit", `{"amount":1}`)
					p.commandID = fmt.Sprintf("%s/%d", key, attempt)
					if b.owner.submit(p) != nil {
						continue
					}
					<-p.done
					if p.answer == nil {
						continue
					}
					var reply commandReply
					if err := json.Unmarshal(p.answer.body, &reply); err != nil || p.answer.status > 201 {
						t.Errorf("%d %s", p.answer.status, p.answer.body)
						return
					}
					acknowledged[c][key] = reply
					break
				}
				if n := done.Add(1); n%(clients*each/generations) == 0 && n < clients*each {
					begin(int(n / (clients * each / generations)))
				}
			}
		})
	}
	group.Wait()

	versions := make(map[string]int64)
	executed := make(map[string]string) // key to command id
	atVersion := make(map[string]string)
	for _, e := range log.committedEvents() {
		id, command := string(e.Key), ""
		for _, h := range e.Headers {
			switch h.Key {
			case "ce_commandid":
				command = string(h.Value)
			case "millrace-version":
				versions[id]++
				require.Equal(t, strconv.FormatInt(versions[id], 10), string(h.Value))
			}
		}
		key, _, _ := strings.Cut(command, "/")
		require.NotContains(t, executed, key, "executed twice")
		executed[key] = command
		atVersion[fmt.Sprint(id, "@", versions[id])] = command
	}
	require.Len(t, executed, clients*each)
	for _, replies := range acknowledged {
		require.Len(t, replies, each)
		for key, reply := range replies {
			require.Equal(t, executed[key], reply.CommandID)
			require.Equal(t, reply.CommandID, atVersion[fmt.Sprint(reply.AggregateID, "@", reply.Version)])
		}
	}
}

// dice is randomness that several goroutines share.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{rand: rand.New(rand.NewPCG(seed, seed))} }

func (d *dice) roll(sides int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(sides)
}
