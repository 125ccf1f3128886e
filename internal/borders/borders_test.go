// Package borders holds the test of the module's structure: who may import whom,
// and what a program that imports the module has to download.
package borders

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/emberkv/ember"

// allowed lists, for each package of the module, which others of the module it
// may import directly. Examples may import what they like.
var allowed = map[string][]string{
	"":                    {},
	"internal/racebubble": {},
	"internal/ahead":      {"internal/hugepage"},
	"internal/giveway":    {},
	"internal/hash":       {},
	"internal/heap":       {},
	"internal/hugepage":   {},
	"internal/keytree":    {},
	"internal/pack":       {},
	"internal/pipe":       {},
	"internal/spin":       {},
	"backlog":             {"internal/ahead", "internal/giveway", "internal/hugepage", "internal/spin"},
	"internal/disk":       {},
	"internal/faultfs":    {"internal/disk"},
	"rdb":                 {"backlog", "internal/disk", "internal/hash", "internal/pack"},
	"kv":                  {"backlog", "rdb", "internal/ahead", "internal/disk", "internal/giveway", "internal/hash", "internal/hugepage", "internal/keytree", "internal/spin"},
	"repl":                {"backlog", "rdb", "internal/giveway", "internal/pack", "internal/pipe"},
	"repl/repltest":       {"repl", "internal/hash", "internal/pipe"},
	"repl/sentinel":       {"backlog", "repl", "internal/disk"},
	"internal/sim":        {},
	"internal/borders":    {},
	"internal/leakcheck":  {},
}

// dependencies are the modules that the root module may use outside its tests.
var dependencies = []string{
	"github.com/google/btree",
	"github.com/klauspost/compress",
	"golang.org/x/sync",
}

// goList runs go list in the module's root and returns its lines.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = path.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}

func TestImports(t *testing.T) {
	seen := 0
	for _, line := range goList(t, "-f", `{{.ImportPath}}:{{join .Imports ","}}`, "./...") {
		pkg, imports, _ := strings.Cut(line, ":")
		pkg = strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
		if strings.HasPrefix(pkg, "examples/") {
			continue
		}
		may, known := allowed[pkg]
		if !known {
			t.Errorf("package %q is not in the list of packages", pkg)
		}
		seen++
		for _, imp := range strings.Split(imports, ",") {
			own, ok := strings.CutPrefix(imp, module+"/")
			if ok && !slices.Contains(may, own) {
				t.Errorf("%q imports %q, and may not", pkg, own)
			}
		}
	}
	if seen < 4 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

func TestDependencies(t *testing.T) {
	for _, dep := range goList(t, "-deps", "-f", `{{if .Module}}{{.Module.Path}}{{end}}`, "./...") {
		if dep != module && !slices.Contains(dependencies, dep) {
			t.Errorf("the module depends on %s, and may not", dep)
		}
	}
}
