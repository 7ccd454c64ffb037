# Run by cpack on what was installed, before the package is made: what Debian wants otherwise than
# `cmake --install` leaves it.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(doc ${root}/usr/share/doc/tailor)

file(GLOB pages ${root}/usr/share/man/man*/*.[18])
configure_file(${TL_DEBIAN}/changelog.in ${doc}/changelog @ONLY)
foreach(file ${pages} ${doc}/changelog)
  execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# The license itself stands in /usr/share/common-licenses.
file(REMOVE ${doc}/LICENSE)
configure_file(${TL_DEBIAN}/copyright ${doc}/copyright COPYONLY)
configure_file(${TL_DEBIAN}/tailord.default ${root}/etc/default/tailord COPYONLY)
configure_file(${TL_DEBIAN}/overrides ${root}/usr/share/lintian/overrides/tailor COPYONLY)
set(read OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
file(CHMOD ${doc}/copyright ${doc}/changelog.gz ${root}/etc/default/tailord
  ${root}/usr/share/lintian/overrides/tailor PERMISSIONS ${read})

# Examples to read, not to run, have no #! line.
file(GLOB examples ${doc}/examples/*.py)
foreach(file ${examples})
  file(READ ${file} head LIMIT 2)
  if(NOT head STREQUAL "#!")
    file(CHMOD ${file} PERMISSIONS ${read})
  endif()
endforeach()
