"""From files, as platforms and people write them, to paired observations.

`download` fetches, `readers` turn a folder into sections (`section.Section`), `build.build` joins
sections into the pairs of `cell_synergy.data`. `simulator` writes the files of simulated data sets.
"""
