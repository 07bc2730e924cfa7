"""From files of platforms and of users to paired observations.

Called from outside: `download.download`, `user_folder.record_folder` and `user_folder.fetch_hub`
make a raw folder; `readers.read` yields the sections (`sections.section.Section`) in it;
`build.build` joins sections into the pairs of `cell_synergy.data.paired` and fills the table of
`sections.qc`; `images` opens whole-slide images; `simulator` writes the files of simulated data
sets. `sections` has the shared parts of readers, `checks` the checks of params.yaml against data.
"""
