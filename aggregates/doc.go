// Package aggregates is the command side of a domain, without any infrastructure: it describes what a command does to
// an entity of the domain by two pure functions.
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
// Registration uses the user's types; all other code uses [Type], which hides them. Package edge serves such a type
// over HTTP: one owner for each partition decides on one command after the other, so that decide always sees every
// event that was ever acknowledged. Package aggregatestest tests a type without an edge: given events, when command,
// then events.
//
// # Invariants
//
//   - A1: the log is the truth. The state of an aggregate is the fold of evolve over its events as they are on the log:
//     [Type.Evolve] reads the encoded event, so a field that the encoding loses is never in the state.
//   - A2: purity. decide and evolve are pure. Clock, identifiers and version reach decide through the command (see
//     [Stamped]).
//   - A3: no trace. A rejection and an invalid command leave no events.
//   - A4: no panics. A panic of a user's function becomes an error of the call ([PanicError]).
//
// # Payloads
//
// Payloads are JSON. Commands are read strictly, because only their sender can correct them: unknown and repeated
// fields, trailing data and null are refused. Events are read tolerantly, because they can never be corrected: unknown
// fields are ignored.
//
// The package does no I/O, reads no clock and starts no goroutine.
package aggregates
