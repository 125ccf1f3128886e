module github.com/emberkv/ember

go 1.25.0

require (
	github.com/google/btree v1.1.3
	github.com/klauspost/compress v1.20.3
)

require (
	github.com/anishathalye/porcupine v1.3.1
	pgregory.net/rapid v1.3.0
)
