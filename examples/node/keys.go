package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/emberkv/ember/kv"
)

const keysPath = "/keys/"

// Bounds of what a request may ask for.
const (
	defaultLimit = 1000 // of keys that are listed
	maxLimit     = 100_000
	maxListBytes = 16 << 20 // of listed keys, escaped; the list is held whole before it is sent
	minTTL       = time.Millisecond
	maxTTL       = 100 * 365 * 24 * time.Hour
)

// keyOf returns the key that a request's path names.
func keyOf(r *http.Request) (string, error) {
	escaped := strings.TrimPrefix(r.URL.EscapedPath(), keysPath)
	key, err := url.PathUnescape(escaped)
	if err != nil {
		return "", refuse(http.StatusBadRequest, "key: %v", err)
	}
	if key == "" {
		return "", kv.ErrEmptyKey
	}
	return key, nil
}

func (s *server) get(r *http.Request) (answer, error) {
	key, err := keyOf(r)
	if err != nil {
		return answer{}, err
	}
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	value, err := s.store.Get(key)
	// The value is a slice of the store's memory. It goes out from there.
	return answer{status: http.StatusOK, contentType: "application/octet-stream", body: value}, err
}

func (s *server) put(r *http.Request) (answer, error) {
	key, err := keyOf(r)
	if err != nil {
		return answer{}, err
	}
	q, err := parameters(r, "ttl")
	if err != nil {
		return answer{}, err
	}
	var opts []kv.SetOption
	if q.Has("ttl") {
		ttl, err := span("ttl", q.Get("ttl"), minTTL, maxTTL)
		if err != nil {
			return answer{}, err
		}
		opts = append(opts, kv.TTL(ttl))
	}
	value, release, err := s.bodies.take(r)
	defer release()
	if err != nil {
		return answer{}, err
	}
	return done, s.store.Set(key, value, opts...)
}

func (s *server) delete(r *http.Request) (answer, error) {
	key, err := keyOf(r)
	if err != nil {
		return answer{}, err
	}
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	existed, err := s.store.Delete(key)
	if err == nil && !existed {
		err = kv.ErrNotFound
	}
	return done, err
}

func (s *server) list(r *http.Request) (answer, error) {
	q, err := parameters(r, "prefix", "limit")
	if err != nil {
		return answer{}, err
	}
	limit := defaultLimit
	if text := q.Get("limit"); text != "" {
		limit, err = strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxLimit {
			return answer{}, refuse(http.StatusBadRequest, "limit is %q, want 1 to %d", text, maxLimit)
		}
	}
	keys, err := s.keys(q.Get("prefix"), limit)
	if err != nil {
		return answer{}, err
	}
	return asJSON(keys)
}

// keys returns the first keys with a prefix, escaped. An iteration outside of a View would
// not tell the end of the keys from that of reading.
func (s *server) keys(prefix string, limit int) (keys []string, err error) {
	err = s.store.View(func(tx *kv.Tx) error {
		size := 0
		keys = []string{} // fn may run again
		for key := range tx.Prefix(prefix) {
			escaped := url.PathEscape(key)
			if size += len(escaped); size > maxListBytes {
				return refuse(http.StatusBadRequest, "the first %d keys have more than %d bytes; ask for fewer with limit", limit, maxListBytes)
			}
			if keys = append(keys, escaped); len(keys) == limit {
				break
			}
		}
		return nil
	})
	return keys, err
}
