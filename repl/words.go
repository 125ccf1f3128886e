package repl

import (
	"fmt"
	"strings"

	"github.com/emberkv/ember/backlog"
)

// word returns the name of v in a list that begins with that of 0.
func word[T ~uint8](words []string, v T) string {
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("%s(%d)", strings.TrimPrefix(fmt.Sprintf("%T", v), "repl."), uint8(v))
}

// unword sets v to what text is the name of, or returns backlog.ErrText.
func unword[T ~uint8](words []string, v *T, text []byte) error {
	for i, w := range words {
		if w == string(text) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("%w: %.40q is none of %q", backlog.ErrText, text, words)
}
