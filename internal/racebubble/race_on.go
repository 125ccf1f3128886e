//go:build race

package racebubble

const race = true
