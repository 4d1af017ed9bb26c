// Package inner is in a module of its own.
package inner
