package main

import (
	"time"
)

// The reference tables. Each is a compacted topic: a topology can join it, and a view can read it.
type (
	// Airline is a carrier's name, by carrier code.
	Airline struct {
		Carrier string `json:"carrier"`
		Name    string `json:"name"`
	}
	// Airport is an origin or destination, by FAA code.
	Airport struct {
		Code         string  `json:"code"`
		Name         string  `json:"name"`
		Latitude     float64 `json:"latitude"`
		Longitude    float64 `json:"longitude"`
		AltitudeFeet int     `json:"altitudeFeet"`
		TimeZone     string  `json:"timeZone,omitempty"`
	}
	// Plane is an aircraft, by tail number.
	Plane struct {
		TailNumber   string `json:"tailNumber"`
		Year         *int   `json:"year,omitempty"`
		Type         string `json:"type"`
		Manufacturer string `json:"manufacturer"`
		Model        string `json:"model"`
		Engines      int    `json:"engines"`
		Seats        int    `json:"seats"`
		Engine       string `json:"engine"`
	}
	// Weather is an hourly observation, by airport and hour (see weatherKey).
	Weather struct {
		Origin          string    `json:"origin"`
		Hour            time.Time `json:"hour"`
		TemperatureF    *float64  `json:"temperatureF,omitempty"`
		DewPointF       *float64  `json:"dewPointF,omitempty"`
		HumidityPercent *float64  `json:"humidityPercent,omitempty"`
		WindDegrees     *int      `json:"windDegrees,omitempty"`
		WindMPH         *float64  `json:"windMph,omitempty"`
		GustMPH         *float64  `json:"gustMph,omitempty"`
		RainInches      float64   `json:"rainInches"`
		PressureMbar    *float64  `json:"pressureMbar,omitempty"`
		VisibilityMiles float64   `json:"visibilityMiles"`
	}
)

// weatherKey is the key of the observation at an airport in the hour of t, such as "EWR 2013-01-15T10Z".
func weatherKey(origin string, t time.Time) string {
	return origin + " " + t.UTC().Format("2006-01-02T15Z")
}

func readAirlines() ([]Airline, error) {
	return readTable("airlines", func(r *csvRow) Airline {
		return Airline{Carrier: r.text("carrier"), Name: r.text("name")}
	})
}

func readAirports() ([]Airport, error) {
	return readTable("airports", func(r *csvRow) Airport {
		return Airport{
			Code:         r.text("faa"),
			Name:         r.text("name"),
			Latitude:     r.float("lat"),
			Longitude:    r.float("lon"),
			AltitudeFeet: r.integer("alt"),
			TimeZone:     r.optionalText("tzone"),
		}
	})
}

func readPlanes() ([]Plane, error) {
	return readTable("planes", func(r *csvRow) Plane {
		return Plane{
			TailNumber:   r.text("tailnum"),
			Year:         r.optionalInteger("year"),
			Type:         r.text("type"),
			Manufacturer: r.text("manufacturer"),
			Model:        r.text("model"),
			Engines:      r.integer("engines"),
			Seats:        r.integer("seats"),
			Engine:       r.text("engine"),
		}
	})
}

func readWeather() ([]Weather, error) {
	return readTable("weather", func(r *csvRow) Weather {
		return Weather{
			Origin:          r.text("origin"),
			Hour:            r.utc("time_hour"),
			TemperatureF:    r.optionalFloat("temp"),
			DewPointF:       r.optionalFloat("dewp"),
			HumidityPercent: r.optionalFloat("humid"),
			WindDegrees:     r.optionalInteger("wind_dir"),
			WindMPH:         r.optionalFloat("wind_speed"),
			GustMPH:         r.optionalFloat("wind_gust"),
			RainInches:      r.float("precip"),
			PressureMbar:    r.optionalFloat("pressure"),
			VisibilityMiles: r.float("visib"),
		}
	})
}
