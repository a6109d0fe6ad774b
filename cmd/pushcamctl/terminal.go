package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// terminalPassword returns a function that asks for a password without showing it,
// or nil if in is no terminal.
func terminalPassword(in *os.File, prompts io.Writer) func(context.Context, string) (string, error) {
	fd := int(in.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return func(ctx context.Context, prompt string) (string, error) {
		before, err := term.GetState(fd)
		if err != nil {
			return "", fmt.Errorf("ask for the password: %w", err)
		}
		fmt.Fprint(prompts, prompt)
		type answer struct {
			text []byte
			err  error
		}
		answered := make(chan answer, 1)
		go func() { // without an answer it runs until the program ends: a terminal's read cannot be stopped
			text, err := term.ReadPassword(fd)
			answered <- answer{text, err}
		}()
		select {
		case a := <-answered:
			fmt.Fprintln(prompts)
			if a.err != nil {
				return "", fmt.Errorf("ask for the password: %w", a.err)
			}
			if len(a.text) == 0 {
				return "", fmt.Errorf("ask for the password: nothing was entered")
			}
			return string(a.text), nil
		case <-ctx.Done():
			fmt.Fprintln(prompts)
			term.Restore(fd, before) // the user sees again what they type
			return "", ctx.Err()
		}
	}
}
