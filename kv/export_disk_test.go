package kv

import "github.com/emberkv/ember/internal/disk"

// OpenOn is Open on another file system.
func OpenOn(fs disk.FS, dir string, opts *Options) (*Store, error) { return openOn(fs, dir, opts) }
