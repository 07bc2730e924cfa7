"""Drawing of figures.

Called from outside: `style` (names, colours and the common style of all figures), and
`notebook.run`, which executes a figure's notebook; equal results give equal bytes.
"""
