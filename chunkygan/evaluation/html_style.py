"""How the report looks: light, narrow windows included."""

STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; background: #fff; color: #222;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; }
h2 { margin: 2.4rem 0 .6rem; font-size: 1.25rem; border-top: 1px solid #ddd; padding-top: 1.2rem; }
h3 { margin: 1.6rem 0 .4rem; font-size: 1.05rem; }
h4 { margin: 0 0 .3rem; font-size: .85rem; font-weight: 600; color: #555; }
.facts, .note { color: #666; font-size: .9rem; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid #e4e4e4; text-align: left; vertical-align: top; }
thead th { white-space: nowrap; border-bottom: 2px solid #bbb; }
tbody th { font-weight: 500; white-space: nowrap; }
.numbers td { white-space: nowrap; }
td small { color: #666; }
details { margin: .8rem 0; }
summary { cursor: pointer; }
.plots { display: flex; flex-wrap: wrap; gap: .5rem; }
.plots svg { max-width: 100%; height: auto; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); gap: 1rem; }
.examples section { padding: .6rem; background: #f7f7f7; border-radius: 6px; min-width: 0; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: .4rem; }
figure { margin: 0; min-width: 0; }
figure img { display: block; width: 100%; height: auto; border-radius: 3px; }
figcaption { font-size: .72rem; line-height: 1.3; margin-top: .2rem; color: #444; overflow-wrap: anywhere; }
figcaption span { display: block; color: #777; font-variant-numeric: tabular-nums; }
"""
