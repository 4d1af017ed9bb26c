package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FlightID identifies a flight by its scheduled local date, carrier, number and origin. The text form,
// 2013-01-15.UA.1545.EWR, is the key of all data about the flight.
type FlightID struct {
	Date    string // 2013-01-15, in the time zone of Origin
	Carrier string // UA
	Number  int    // 1545
	Origin  string // EWR
}

// String returns the text form, which is used in URLs and keys.
func (id FlightID) String() string {
	return id.Date + "." + id.Carrier + "." + strconv.Itoa(id.Number) + "." + id.Origin
}

// ParseFlightID parses the text form. It accepts only what String returns, so that each flight has one id.
func ParseFlightID(s string) (FlightID, error) {
	part := strings.Split(s, ".")
	if len(part) != 4 {
		return FlightID{}, fmt.Errorf("flight id %q has not the form date.carrier.number.origin, for example 2013-01-15.UA.1545.EWR", s)
	}
	id := FlightID{Date: part[0], Carrier: part[1], Origin: part[3]}
	if err := checkDate(id.Date); err != nil {
		return FlightID{}, fmt.Errorf("flight id %q: %w", s, err)
	}
	if err := checkCarrier(id.Carrier); err != nil {
		return FlightID{}, fmt.Errorf("flight id %q: %w", s, err)
	}
	number, err := strconv.Atoi(part[2])
	if err != nil || number < 1 || number > 9999 || strconv.Itoa(number) != part[2] {
		return FlightID{}, fmt.Errorf("flight id %q: flight number %q is not one of 1 to 9999", s, part[2])
	}
	id.Number = number
	if err := checkAirport(id.Origin); err != nil {
		return FlightID{}, fmt.Errorf("flight id %q: %w", s, err)
	}
	return id, nil
}

// firstYear and lastYear bound all times. A time outside is a mistake. The topology relies on the bounds (see
// lateness).
const (
	firstYear = 1970
	lastYear  = 2099
)

// leavesOn reports whether t is on the flight's date in any time zone.
func (id FlightID) leavesOn(t time.Time) bool {
	day, err := time.Parse(time.DateOnly, id.Date)
	return err == nil && t.After(day.AddDate(0, 0, -1)) && t.Before(day.AddDate(0, 0, 2))
}

func checkDate(date string) error {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil || day.Year() < firstYear || day.Year() > lastYear {
		return fmt.Errorf("date %q is not a day of the years %d to %d, like 2013-01-15", date, firstYear, lastYear)
	}
	return nil
}

func checkCarrier(code string) error {
	if !isCode(code, 2) {
		return fmt.Errorf("carrier %q is not a code of two letters or digits like UA", code)
	}
	return nil
}

func checkAirport(code string) error {
	if !isCode(code, 3) {
		return fmt.Errorf("airport %q is not a code of three letters or digits like JFK", code)
	}
	return nil
}

func isCode(s string, length int) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) == length
}
