package aggregatestest_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/aggregates/aggregatestest"
	"github.com/seed84377926/millrace/codecs"
)

type Account struct {
	Balance int64 `json:"balance"`
}

type (
	Deposit  struct{ Amount int64 }
	Withdraw struct{ Amount int64 }

	Deposited struct{ Amount int64 }
	Withdrawn struct{ Amount int64 }
)

func (d Deposit) Validate() error {
	if d.Amount <= 0 {
		return aggregates.Invalid("/Amount", "must be positive")
	}
	return nil
}

func account() *aggregates.Aggregate[Account] {
	return aggregates.New("account", Account{}, codecs.JSON[Account]()).
		Command("deposit", func(_ Account, c Deposit) ([]aggregates.Event, error) {
			return []aggregates.Event{Deposited(c)}, nil
		}).
		Command("withdraw", func(a Account, c Withdraw) ([]aggregates.Event, error) {
			if c.Amount == 0 {
				return nil, nil
			}
			if c.Amount > a.Balance {
				return nil, aggregates.Conflict("insufficient-funds", "the balance is %d", a.Balance)
			}
			return []aggregates.Event{Withdrawn(c)}, nil
		}).
		On("Deposited", func(a Account, e Deposited) Account { a.Balance += e.Amount; return a }).
		On("Withdrawn", func(a Account, e Withdrawn) Account { a.Balance -= e.Amount; return a })
}

func TestScenario(t *testing.T) {
	s := aggregatestest.Given(t, account(), Deposited{10}).
		When("withdraw", Withdraw{4}).Then(Withdrawn{4}).
		When("withdraw", Withdraw{7}).ThenRejected("insufficient-funds").
		When("withdraw", Withdraw{}).Then().
		When("deposit", Deposit{-1}).ThenInvalid("/Amount").
		When("deposit", []byte(`{"Amount":1,"Currency":"EUR"}`)).ThenInvalid("/Currency")
	require.Equal(t, Account{Balance: 6}, s.State())
}

// tape is a T that keeps what a failing scenario has to say.
type tape struct{ said string }

func (*tape) Helper() {}

func (r *tape) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// said runs a scenario that should fail and returns its message.
func said(scenario func(t aggregatestest.T)) string {
	r := new(tape)
	done := make(chan struct{})
	go func() {
		defer close(done)
		scenario(r)
	}()
	<-done
	return r.said
}

func TestScenario_failures(t *testing.T) {
	for name, test := range map[string]struct {
		scenario func(t aggregatestest.T)
		want     string
	}{
		"other events": {
			func(t aggregatestest.T) {
				aggregatestest.Given(t, account(), Deposited{10}, Withdrawn{1}).When("withdraw", Withdraw{4}).Then(Withdrawn{5}, Deposited{1})
			},
			`account:
  given  Deposited {"Amount":10}
         Withdrawn {"Amount":1}
  when   withdraw {"Amount":4}
  want   Withdrawn {"Amount":5}
         Deposited {"Amount":1}
  got    Withdrawn {"Amount":4}
`,
		},
		"rejected": {
			func(t aggregatestest.T) {
				aggregatestest.Given(t, account()).When("withdraw", Withdraw{4}).Then(Withdrawn{4})
			},
			`account:
  given  nothing
  when   withdraw {"Amount":4}
  want   Withdrawn {"Amount":4}
  got    rejected: insufficient-funds: the balance is 0
`,
		},
		"not rejected": {
			func(t aggregatestest.T) {
				aggregatestest.Given(t, account()).When("withdraw", Withdraw{}).ThenRejected("insufficient-funds")
			},
			`account:
  given  nothing
  when   withdraw {"Amount":0}
  want   rejected: insufficient-funds
  got    nothing
`,
		},
		"invalid elsewhere": {
			func(t aggregatestest.T) {
				aggregatestest.Given(t, account()).When("deposit", Deposit{}).ThenInvalid("/Currency")
			},
			`account:
  given  nothing
  when   deposit {"Amount":0}
  want   invalid at ["/Currency"]
  got    error: command "deposit" is invalid: /Amount: must be positive
`,
		},
		"unknown command": {
			func(t aggregatestest.T) { aggregatestest.Given(t, account()).When("close", struct{}{}).Then() },
			`account:
  given  nothing
  when   close {}
  want   nothing
  got    error: aggregate "account" has no command "close"; it has deposit, withdraw
`,
		},
		"unregistered event": {
			func(t aggregatestest.T) { aggregatestest.Given(t, account(), Deposit{1}) },
			`given: aggregate "account" has no event of type aggregatestest_test.Deposit; register it with On, and return it by value`,
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, said(test.scenario)) })
	}
}
