module github.com/emberkv/ember

go 1.25.0
