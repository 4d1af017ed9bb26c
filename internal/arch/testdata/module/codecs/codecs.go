// Package codecs is a fixture.
package codecs
