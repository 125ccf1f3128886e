package sentinel_test

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// A logCounter is a handler that counts the lines of a log that matter to a test.
type logCounter struct {
	matters func(slog.Record) bool
	lines   atomic.Int64
}

func (c *logCounter) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (c *logCounter) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *logCounter) WithGroup(string) slog.Handler                { return c }

func (c *logCounter) Handle(_ context.Context, r slog.Record) error {
	if c.matters(r) {
		c.lines.Add(1)
	}
	return nil
}
