// Package aggregates is the command side of a domain, without any machinery: what a command does to a thing of the
// domain, written as two pure functions.
//
//	decide(state, command) → events | rejection      the rules
//	evolve(state, event)   → state                   the memory
//
//	      command ──▶ decide ──▶ events ──▶ log
//	                    ▲           │
//	                  state ◀── evolve
//
// An aggregate type is a name, an initial state, its commands and its events:
//
//	account := aggregates.New("account", Account{}, codecs.JSON[Account]())
//	account.Command("withdraw", func(a Account, c Withdraw) ([]aggregates.Event, error) {
//	    if c.Amount > a.Balance {
//	        return nil, aggregates.Conflict("insufficient-funds", "the balance is %d", a.Balance)
//	    }
//	    return []aggregates.Event{Withdrawn{Amount: c.Amount}}, nil
//	})
//	account.On("Withdrawn", func(a Account, e Withdrawn) Account { a.Balance -= e.Amount; return a })
//
// Registration is typed; everything else sees the erased [Type]. Package edge serves such a type over HTTP: one owner
// for each partition decides on one command after the other, so that decide always sees every event that was ever
// acknowledged. Package aggregatestest tests one without any of that: given events, when command, then events.
//
// Invariants:
//
//   - A1: the state of an aggregate is the fold of evolve over its events as they are on the log: [Type.Evolve] reads
//     the encoded event, so what the encoding loses, the state never had.
//   - A2: decide and evolve are pure. The clock, identifiers and the version reach decide through the command (see
//     [Stamped]), never by asking for them.
//   - A3: a rejection and an invalid command leave no events.
//   - A4: what users' functions do wrong is an error of the call, never a panic of the caller ([PanicError]).
//
// Payloads are JSON. Commands are read strictly, since nobody but their sender can correct them: unknown and repeated
// fields, trailing data and null are refused. Events are read tolerantly, since they can never be corrected: fields
// that the code no longer knows are ignored.
//
// The package does no I/O, reads no clock and starts no goroutine.
package aggregates
