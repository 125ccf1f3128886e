package borders

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesNameTests: every test that the module's documentation names for a promise
// is there, and so is every one that is to catch a bug of the museum, or stands in the checklist
// of what can go wrong with a link.
func TestPromisesNameTests(t *testing.T) {
	root := filepath.Join("..", "..")
	there := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for file, lines := range map[string]string{
		"doc.go":             `(?s)# What it promises.*# What it does not`,
		".ci/museum/*.patch": `Caught by: .*`,

		"repl/testdata/checklist.md": `(?m)^\|.*`,
	} {
		files, err := filepath.Glob(filepath.Join(root, file))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", file, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range regexp.MustCompile(lines).FindAll(text, -1) {
				for _, name := range regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(string(part), -1) {
					if named++; !there[name] {
						t.Errorf("%s names %s, which is not there", f, name)
					}
				}
			}
		}
	}
	if named < 60 {
		t.Errorf("only %d names were looked at", named)
	}
}
