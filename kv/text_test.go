package kv_test

import (
	"encoding"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// TestTexts: what is a word in JSON and in flags can be read back, and nothing else.
func TestTexts(t *testing.T) {
	eachText[kv.Fsync](t, kv.FsyncEverySecond, kv.FsyncAlways, kv.FsyncNever)
	eachText[kv.Eviction](t, kv.NoEviction, kv.EvictLRU, kv.EvictLFU, kv.EvictTTL)
	eachText[kv.EventKind](t, kv.EventPut, kv.EventDelete, kv.EventExpire, kv.EventEvict, kv.EventDeletePrefix,
		kv.EventDeadline, kv.EventReset, kv.EventSynced)
}

func eachText[T interface {
	comparable
	encoding.TextMarshaler
}, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, values ...T) {
	t.Helper()
	for _, v := range values {
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back T
		if err := P(&back).UnmarshalText(text); err != nil || back != v {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
		for _, wrong := range []string{"", string(text[1:]), string(text) + "s"} {
			if err := P(&back).UnmarshalText([]byte(wrong)); !errors.Is(err, kv.ErrInvalid) || back != v {
				t.Errorf("%q is read as %v, %v", wrong, back, err)
			}
		}
	}
}

// TestDurabilityIsChecked: the first field that is wrong is named, with its value as the program has
// written it.
func TestDurabilityIsChecked(t *testing.T) {
	for _, c := range []struct {
		field string
		value any
		set   func(d *kv.Durability)
	}{
		{"Fsync", kv.Fsync(7), func(d *kv.Durability) { d.Fsync = 7 }},
		{"SegmentBytes", int64(-1), func(d *kv.Durability) { d.SegmentBytes, d.DiskTimeout, d.MaxUnsynced = -1, -1, -1 }},
		{"MaxUnsynced", int64(-2), func(d *kv.Durability) { d.MaxUnsynced, d.DiskTimeout = -2, -1 }},
		{"DiskTimeout", -time.Second, func(d *kv.Durability) { d.DiskTimeout = -time.Second }},
		{"SavePoints[1]", kv.SavePoint{Records: 1}, func(d *kv.Durability) {
			d.SavePoints = slices.Insert(kv.DefaultSavePoints(), 1, kv.SavePoint{Records: 1})
		}},
	} {
		var opts kv.Options
		c.set(&opts.Durability)
		for range 10 {
			_, err := kv.Open(t.TempDir(), &opts)
			var wrong *kv.InvalidError
			if !errors.As(err, &wrong) || wrong.Field != c.field || fmt.Sprint(wrong.Value) != fmt.Sprint(c.value) {
				t.Errorf("%s: %v", c.field, err)
			}
		}
	}
}
