"""The commands; slow imports happen inside."""
