/ What the kdb+ adapter has a q do: functions of the namespace .tb. Each call is one message, so that no other client of
/ that q ever sees a part of it. Blocks are apart by empty lines and sent as one line each.
/ Unrun: no kdb+ licence was to be had where this was written.
/
/ On disk, under a folder r: r/db is a database (sym; DATE/TABLE/ for tables partitioned by day, else TABLE/), r/tables
/ has each table's declaration, r/staging what is being written. r, t, d: folder, table, date (null: not partitioned). Dates
/ and times come as integers since 2000.

.tb.dir:{[r;t;d] $[null d; ` sv r,`db,t; ` sv r,`db,(`$string d),t]}

.tb.dates:{[r] asc d where not null d:"D"$string k where (k:(),key ` sv r,`db) like "????.??.??"}

.tb.splayed:{[p] ` sv p,`}

.tb.use:{[r] if[not ()~key f:` sv r,`db`sym; load f];}

.tb.tables:{[r] (),key ` sv r,`tables}

.tb.spec:{[r;t] get ` sv r,`tables,t}

.tb.declared:{[r;t] $[()~key ` sv r,`tables,t; ""; .tb.spec[r;t]`json]}

/ Types are q's letters; C, E and F are lists of characters, reals and floats.
.tb.empty:{[s] flip (s`columns)!{$[x in "CEF"; (); x$()]} each s`types}

/ Symbols instead of enumerations, in memory.
.tb.plain:{[x] x:select from x; @[x; where (type each flip x) within 20 76h; value]}

/ Columns as declared: one that a table gained is empty, and said to be null where a column tells.
.tb.fitted:{[s;x]
  m:(s`columns) except cols x;
  f:{[s;n;c] k:s[`types] (s`columns)?c; $[c like "*_null"; n#1b; k in "CEF"; n#enlist lower[k]$(); n#first k$()]}[s;count x];
  (s`columns)#flip (flip x),m!f each m}

/ Columns c of a partition.
.tb.rows:{[r;t;d;c]
  p:.tb.dir[r;t;d];
  $[()~key p; c#.tb.empty .tb.spec[r;t]; .tb.plain ?[get .tb.splayed p;();0b;c!c]]}

.tb.whole:{[r;t;d] .tb.rows[r;t;d;.tb.spec[r;t]`columns]}

/ Which rows have the values of the dictionary k.
.tb.match:{[x;k] $[count k; all {[x;c;v] x[c]=v}[x]'[key k;value k]; (count x)#1b]}

.tb.partitions:{[r;t] $[null .tb.spec[r;t]`day; enlist 0Nd; .tb.dates r]}

/ The folders that a table has, one for each partition, or one.
.tb.folders:{[r;t] p where not ()~/:key each p:.tb.dir[r;t] each .tb.partitions[r;t]}

.tb.remove:{[p] if[11h=type k:key p; .z.s each ` sv/:p,/:k]; if[not ()~k; hdel p];}

.tb.move:{[a;b] system "r ",(1_string a)," ",1_string b;}

/ A partition, sorted and with its attributes, in a folder of its own under staging.
.tb.built:{[r;s;x]
  p:` sv r,`staging,`$string first -1?0Ng;
  x:$[count s`sort; (s`sort) xasc x; x];
  (.tb.splayed p) set .Q.en[` sv r,`db] x;
  {[p;c;a] @[p;c;#[a;]]}[.tb.splayed p]'[s`attributed;s`attributes];
  p}

/ What .tb.built made takes the place of a partition; .tb.recover mends what a crash between the two moves leaves.
.tb.swap:{[r;t;d;p]
  q:.tb.dir[r;t;d];
  e:first ` vs q;
  o:` sv r,`staging,`$"old.",(string t),".",$[null d; ""; string d];
  if[()~key e; (f:` sv e,`made) set 0; hdel f];
  if[b:not ()~key q; .tb.move[q;o]];
  .tb.move[p;q];
  if[b; .tb.remove o];}

.tb.recover:{[r]
  f:{[r;n]
    p:` sv r,`staging,n;
    v:"." vs string n;
    if[not "old"~first v; :.tb.remove p];
    q:.tb.dir[r;`$v 1;"D"$"." sv 2_v];
    $[()~key q; .tb.move[p;q]; .tb.remove p]};
  f[r] each (),key ` sv r,`staging;}

/ Every date has every table that is partitioned, if only an empty one, as q wants it; then all is mapped anew.
.tb.load:{[r]
  f:{[r;t;d] if[()~key p:.tb.dir[r;t;d]; (.tb.splayed p) set .Q.en[` sv r,`db] .tb.empty .tb.spec[r;t]]};
  {[f;r;t] f[r;t] each .tb.partitions[r;t]}[f;r] each .tb.tables r;
  system "l ",1_string ` sv r,`db;
  {[r;t] if[not t in tables `.; t set update date:`date$() from .tb.empty .tb.spec[r;t]]}[r] each .tb.tables r;}

.tb.open:{[r]
  if[()~key f:` sv r,`db`sym; f set `symbol$()];
  .tb.recover r;
  .tb.load r;}

/ json: the declaration; c and y: columns and their types; o: sort key; w: time stamp of the day, first time stamp; a:
/ columns with attributes, and which.
.tb.create:{[r;t;json;c;y;o;w;a]
  .tb.use r;
  s:`json`columns`types`sort`day`stamp`attributed`attributes!(json;c;(),y;o;w 0;w 1;a 0;a 1);
  f:{[r;t;s;d]
    x:.tb.plain get .tb.splayed .tb.dir[r;t;d];
    if[not (s`columns)~cols x; .tb.swap[r;t;d] .tb.built[r;s] .tb.fitted[s;x]]};
  if[t in .tb.tables r; f[r;t;s] each .tb.partitions[r;t]];
  (` sv r,`tables,t) set s;
  .tb.load r;}

.tb.drop:{[r;t]
  if[not t in .tb.tables r; :()];
  p:.tb.folders[r;t];
  .tb.remove each p;
  {if[0=count key x; hdel x]} each distinct first each ` vs/:p;
  hdel ` sv r,`tables,t;
  if[t in tables `.; ![`.;();0b;enlist t]];
  .tb.load r;}

/ Rows of a write i: columns c and their vectors v.
.tb.stage:{[r;t;i;c;v]
  .tb.use r;
  v:{$[x in "CEF"; (),/:y; y]}'[.tb.spec[r;t]`types;v];
  x:.Q.en[` sv r,`db] flip c!v;
  $[()~key p:` sv r,`staging,i; (.tb.splayed p) set x; (.tb.splayed p) upsert x];}

.tb.staged:{[r;t;i] $[()~key p:` sv r,`staging,i; .tb.empty .tb.spec[r;t]; .tb.plain get .tb.splayed p]}

.tb.forget:{[r;i] .tb.remove ` sv r,`staging,i;}

/ Rows of the partition whose keys are k give way to those of a write.
.tb.replace:{[r;t;i;d;k]
  .tb.use r;
  o:.tb.whole[r;t;d:`date$d];
  x:(o where not .tb.match[o;k]),.tb.staged[r;t;i];
  .tb.swap[r;t;d] .tb.built[r;.tb.spec[r;t]] x;
  .tb.forget[r;i];
  .tb.load r;}

/ All partitions are written before the first takes its place.
.tb.append:{[r;t;i]
  .tb.use r;
  s:.tb.spec[r;t];
  n:.tb.staged[r;t;i];
  g:$[null s`day; (enlist 0Nd)!enlist til count n; group `date$n s`day];
  p:{[r;t;s;n;d;j] .tb.built[r;s] .tb.whole[r;t;d],n j}[r;t;s;n]'[key g;value g];
  .tb.swap[r;t]'[key g;p];
  .tb.forget[r;i];
  .tb.load r;}

/ Columns c of the rows of one partition whose keys are k and whose time stamps are at or after a and before b, where
/ those are not null.
.tb.read:{[r;t;d;k;c;a;b]
  .tb.use r;
  s:.tb.spec[r;t]`stamp;
  a:`timestamp$a;
  b:`timestamp$b;
  x:.tb.rows[r;t;`date$d;distinct c,key[k],$[null s; `symbol$(); s]];
  m:.tb.match[x;k];
  if[not null s; m:m&(x[s]>=a)&(null b)|x[s]<b];
  c#x where m}

.tb.bytes:{[p] $[11h=type k:key p; sum 0,.z.s each ` sv/:p,/:k; ()~k; 0; hcount p]}

/ Rows of all partitions; those of date d (null: of any) whose keys are k; bytes uncompressed; bytes on disk.
.tb.size:{[r;t;d;k]
  .tb.use r;
  d:`date$d;
  f:{[r;t;d;k;e] x:.tb.whole[r;t;e]; (count x; $[(null d)|d=e; sum .tb.match[x;k]; 0]; -22!x)};
  (0 0 0+/f[r;t;d;k] each .tb.partitions[r;t]),sum .tb.bytes each .tb.folders[r;t]}
