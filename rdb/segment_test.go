package rdb_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

var segmentName = rdb.Segment{Generation: 3, Sequence: 9}

// history is a fixed one, so that files are the same each time.
func namedHistory(n byte) (h backlog.History) {
	for i := range h {
		h[i] = n
	}
	return h
}

func segmentOrigin() rdb.Origin {
	return rdb.Origin{Own: true, Lineage: backlog.Lineage{
		Current: namedHistory(1), Earlier: []backlog.Fork{{History: namedHistory(2), End: 40}},
	}}
}

// sampleSegment returns a segment from offset 100 to 112, and where its frames begin.
func sampleSegment() (b []byte, places []int) {
	b = segmentName.AppendHeader(nil, rdb.SegmentHeader{
		Base: 100, Synced: 100, Origin: segmentOrigin(), Sum: backlog.Sum{From: 40, Value: 7}, RecordVersion: rdb.RecordVersion,
	})
	records := backlog.AppendRecord(backlog.AppendRecord(nil, []byte("ab")), []byte("cd"))
	forked := segmentOrigin()
	forked.Own, forked.Lineage = false, forked.Lineage.Fork(namedHistory(3), 106)
	for _, f := range []rdb.Frame{
		{Kind: rdb.FrameRecords, Offset: 100, Synced: 100, Body: records},
		{Kind: rdb.FrameLineage, Offset: 106, Synced: 100, Body: rdb.AppendOrigin(nil, forked)},
		{Kind: rdb.FrameRecords, Offset: 106, Synced: 106, Body: records},
		{Kind: rdb.FrameMark, Offset: 112, Synced: 112},
	} {
		places = append(places, len(b))
		b = segmentName.AppendFrame(b, int64(len(b)), f)
	}
	return b, places
}

func readSegment(b []byte, name rdb.Segment) (frames []rdb.Frame, err error) {
	r, err := rdb.NewSegmentReader(bytes.NewReader(b), name)
	if err != nil {
		return nil, err
	}
	for {
		f, err := r.Next()
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

func TestSegment(t *testing.T) {
	b, places := sampleSegment()
	r, err := rdb.NewSegmentReader(bytes.NewReader(b), segmentName)
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header()
	if h.Base != 100 || h.Synced != 100 || !h.Origin.Own || h.Sum.Value != 7 || h.Origin.Lineage.Current != namedHistory(1) {
		t.Errorf("header %+v", h)
	}
	var kinds []rdb.FrameKind
	for i := 0; ; i++ {
		at := r.At()
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil || at != int64(places[i]) {
			t.Fatalf("frame %d at %d: %v", i, at, err)
		}
		kinds = append(kinds, f.Kind)
		if f.Kind == rdb.FrameLineage {
			o, err := rdb.ParseOrigin(f.Body, f.Offset)
			if err != nil || o.Own || o.Lineage.Current != namedHistory(3) {
				t.Errorf("lineage %+v, %v", o, err)
			}
		}
	}
	if fmt.Sprint(kinds) != "[2 3 2 4]" || r.End() != 112 {
		t.Errorf("kinds %v up to %d", kinds, r.End())
	}
}

// The bytes of a segment do not change from version to version.
func TestSegmentGolden(t *testing.T) {
	got := segmentName.AppendHeader(nil, rdb.SegmentHeader{Base: 5, Synced: 5, Origin: rdb.Origin{Lineage: backlog.Lineage{Current: namedHistory(1)}}, Sum: backlog.Sum{From: 5}, RecordVersion: 1})
	got = segmentName.AppendFrame(got, int64(len(got)), rdb.Frame{Kind: rdb.FrameRecords, Offset: 5, Synced: 4, Body: []byte("\x02hi")})
	const want = "454d4245524c4f4701000000cca0896a013d000000050000000000000005000000000000000100050000000000000000000000000000000000010101010101010101010101010101010000000000000000000000000000000000000000000000000099159b0e020300000005000000000000000400000000000000026869"
	if text := hex.EncodeToString(got); text != want {
		t.Errorf("segment is %s\nwant %s", text, want)
	}
	if again, err := readSegment(got, segmentName); err != nil || len(again) != 1 || string(again[0].Body) != "\x02hi" {
		t.Errorf("%v, %v", again, err)
	}
	stop := rdb.AppendStop(nil, rdb.Stop{Generation: 2, Position: backlog.Position{History: namedHistory(1), Offset: 9}})
	if text := hex.EncodeToString(stop[:44]); text != "454d424552454e4401000000"+"0200000000000000"+strings.Repeat("01", 16)+"0900000000000000" {
		t.Errorf("marker %s", text)
	}
}

// Every bit that is flipped is found where it is, and what lies behind it still says what
// was synced.
func TestSegmentEveryBit(t *testing.T) {
	b, places := sampleSegment()
	whole, err := readSegment(b, segmentName)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(b) {
		changed := bytes.Clone(b)
		changed[bit/8] ^= 1 << (bit % 8)
		frames, err := readSegment(changed, segmentName)
		var at *rdb.ReadError
		if !errors.As(err, &at) || !errors.Is(err, rdb.ErrFormat) && !errors.Is(err, rdb.ErrChecksum) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		hit := 0
		for hit < len(places) && places[hit] <= bit/8 {
			hit++
		}
		if hit == 0 {
			continue // in the header
		}
		if len(frames) != hit-1 || at.Offset != int64(places[hit-1]) {
			t.Fatalf("bit %d, in frame %d: %d frames, %v", bit, hit-1, len(frames), err)
		}
		want := int64(-1)
		for _, f := range whole[hit:] {
			want = max(want, f.Synced)
		}
		low := whole[hit-1].Offset
		if got := segmentName.HighestMark(changed[at.Offset:], at.Offset, low, low); got != want {
			t.Fatalf("bit %d, in frame %d: synced up to %d, want %d", bit, hit-1, got, want)
		}
	}
}

// A segment that is cut off anywhere is whole frames, and an error unless it ends with one.
func TestSegmentCut(t *testing.T) {
	b, places := sampleSegment()
	for n := range b {
		frames, err := readSegment(b[:n], segmentName)
		whole, border := 0, n == places[0]
		for i, p := range append(places[1:], len(b)) {
			if p <= n {
				whole = i + 1
			}
			border = border || p == n
		}
		if len(frames) != whole || border != (err == nil) || err != nil && !errors.Is(err, rdb.ErrFormat) {
			t.Fatalf("cut at %d: %d frames, want %d; %v", n, len(frames), whole, err)
		}
	}
}

// A frame counts only in its own file, at its own place.
func TestSegmentPlaces(t *testing.T) {
	b, places := sampleSegment()
	for _, name := range []rdb.Segment{{Generation: 3, Sequence: 8}, {Generation: 2, Sequence: 9}} {
		if _, err := readSegment(b, name); !errors.Is(err, rdb.ErrChecksum) {
			t.Errorf("as %v: %v", name, err)
		}
		if m := name.HighestMark(b[places[0]:], int64(places[0]), 100, 100); m != -1 {
			t.Errorf("as %v: a mark at %d", name, m)
		}
	}
	if m := segmentName.HighestMark(b[places[0]:], int64(places[0])+1, 100, 100); m != -1 {
		t.Errorf("a byte further: a mark at %d", m)
	}
}

func FuzzSegmentReader(f *testing.F) {
	b, places := sampleSegment()
	f.Add(b)
	f.Add(b[:places[2]+3])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := rdb.NewSegmentReader(bytes.NewReader(b), segmentName)
		end := int64(0)
		if err == nil {
			for end = r.Header().Base; err == nil; {
				var fr rdb.Frame
				if fr, err = r.Next(); err == nil {
					if fr.Offset != end || fr.Synced > fr.Offset {
						t.Fatalf("frame %+v at %d", fr, end)
					}
					if fr.Kind == rdb.FrameRecords {
						end += int64(len(fr.Body))
					}
					rdb.ParseOrigin(fr.Body, fr.Offset)
				}
			}
		}
		var at *rdb.ReadError
		if err != io.EOF && !errors.As(err, &at) {
			t.Fatalf("an error without a place: %v", err)
		}
		segmentName.HighestMark(b, 0, 0, backlog.MaxOffset/2)
	})
}

func FuzzParseStop(f *testing.F) {
	f.Add(rdb.AppendStop(nil, rdb.Stop{Generation: 2, Position: backlog.Position{History: namedHistory(1), Offset: 9}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := rdb.ParseStop(b)
		if err == nil && !bytes.Equal(rdb.AppendStop(nil, s), b) {
			t.Fatalf("%x has another form", b)
		}
	})
}

func ExampleSegmentReader() {
	name := rdb.Segment{Generation: 1, Sequence: 2} // of the file
	log := backlog.NewLog(nil)
	records := backlog.AppendRecord(nil, []byte("hello"))

	file := name.AppendHeader(nil, rdb.SegmentHeader{Origin: rdb.Origin{Lineage: log.Lineage()}, RecordVersion: rdb.RecordVersion})
	file = name.AppendFrame(file, int64(len(file)), rdb.Frame{Kind: rdb.FrameRecords, Body: records})

	r, err := rdb.NewSegmentReader(bytes.NewReader(file), name)
	if err != nil {
		panic(err)
	}
	frame, err := r.Next()
	fmt.Printf("%q %v\n", frame.Body, err)
	_, err = r.Next()
	fmt.Println(err, r.End())
	// Output:
	// "\x05hello" <nil>
	// EOF 6
}
