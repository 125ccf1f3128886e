// Package ember is the root of the Ember module.
package ember
