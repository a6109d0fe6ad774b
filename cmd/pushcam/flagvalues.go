package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// size is a flag's value as 1280x720.
type size struct{ width, height int }

func (s *size) String() string { return fmt.Sprintf("%dx%d", s.width, s.height) }

func (s *size) Set(v string) error {
	w, h, _ := strings.Cut(strings.ReplaceAll(v, "×", "x"), "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	if errW != nil || errH != nil || width < 16 || height < 16 || width > 16384 || height > 16384 {
		return errors.New("a size is width and height in pixels, as 1280x720")
	}
	*s = size{width, height}
	return nil
}

// secret is a flag's value that is shown to nobody, also not when it is wrong: check says
// so.
type secret string

func (s *secret) String() string {
	if *s == "" {
		return ""
	}
	return "***"
}

func (s *secret) Set(v string) error {
	*s = secret(v)
	return nil
}

// bitrate is a flag's value in bits per second, as 8M; empty is none.
type bitrate string

func (b *bitrate) String() string { return string(*b) }

func (b *bitrate) Set(v string) error {
	number := strings.TrimRight(strings.ToLower(v), "km")
	if n, err := strconv.ParseFloat(number, 64); err != nil || !(n > 0) || len(v)-len(number) > 1 {
		return errors.New("a bit rate is bits per second, as 8M or 800k")
	}
	*b = bitrate(strings.ToLower(v))
	return nil
}
