// Package sentinel watches a group of nodes of package repl: it finds out that the
// master is gone, agrees on that with other sentinels, has the best replica promoted and the
// others follow it, and tells clients who the master is.
package sentinel
